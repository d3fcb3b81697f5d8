"""Calls to language models that answer chat requests: a server over the network, or vLLM in this process."""
