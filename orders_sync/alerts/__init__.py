"""Reports troubles to people, once each, and their recovery: by mail, chat, pager or webhook."""
