"""Makes the references of the documentation from the code, and lays out the site.

`python -m docs.generate` writes the pages (`make reference`), `--check` only compares them; `docs.generate.site` lays
the site's sources out in build/docs, and `docs.generate.links` checks the links of the built site.
"""
