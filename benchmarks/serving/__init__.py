"""The scoring server against its peers: what each serves, how each is asked, and how the answers are told."""
