// tanh and erfc that are as exact as floats allow on every device: the built-in tanh may be made of a difference of exps,
// and there is no erfc.
#ifndef PM_SPECIAL_FUNCTIONS_GLSL
#define PM_SPECIAL_FUNCTIONS_GLSL

// By its series where |x| <= 0.3, else by exp.
float pm_tanh(float x)
{
    float s = x * x;
    float series = x + x * s * (-1.0 / 3 + s * (2.0 / 15 + s * (-17.0 / 315 + s * (62.0 / 2835))));
    if (!(abs(x) > 0.3)) // NaN too: not every exp keeps it
        return series;
    return x > 40.0 ? 1.0 : 1.0 - 2.0 / (exp(2.0 * x) + 1.0);
}

vec4 pm_tanh(vec4 x)
{
    return vec4(pm_tanh(x.x), pm_tanh(x.y), pm_tanh(x.z), pm_tanh(x.w));
}

// Chebyshev's fit in t = 1 / (1 + |z| / 2): Press et al., Numerical Recipes in C, 2nd edition, section 6.2.
float pm_erfc(float z)
{
    float a = abs(z), t = 1.0 / (1.0 + 0.5 * a), p = 0.17087277;
    p = p * t - 0.82215223;
    p = p * t + 1.48851587;
    p = p * t - 1.13520398;
    p = p * t + 0.27886807;
    p = p * t - 0.18628806;
    p = p * t + 0.09678418;
    p = p * t + 0.37409196;
    p = p * t + 1.00002368;
    p = p * t - 1.26551223;
    float positive = t * exp(p - a * a);
    return z >= 0.0 ? positive : 2.0 - positive;
}

vec4 pm_erfc(vec4 z)
{
    return vec4(pm_erfc(z.x), pm_erfc(z.y), pm_erfc(z.z), pm_erfc(z.w));
}

#endif
