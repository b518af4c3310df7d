"""The notebook's face: magics over the verbs, completion, settings and progress. Imported by ``%load_ext`` alone."""
