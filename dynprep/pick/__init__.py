"""``dynprep pick``: a page in the browser on which objects are marked, and a file of prompts is written."""
