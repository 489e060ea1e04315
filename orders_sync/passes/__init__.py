"""One pass of one lane, whole: fetch and store first, then what acts outside."""
