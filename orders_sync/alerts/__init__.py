"""Tells people what is wrong, once for each trouble, and that it is over: by mail, chat, pager or webhook."""
