"""The console: a page for supervisors, files that the function app serves as they are."""
