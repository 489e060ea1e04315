"""The adapters: one file for each marketplace. The file name is what account files say in `marketplace`."""
