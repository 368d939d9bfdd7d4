/* Preloaded into tests: libraries stay mapped after dlclose, so that LeakSanitizer can still say which library a leak
 * came from and lsan.supp can tell those of Vulkan drivers from ours. */
int dlclose(void *handle);

int dlclose(void *handle)
{
    (void)handle;
    return 0;
}
