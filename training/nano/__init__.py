"""croco-nano: a Llama small enough for a CPU, trained from scratch on CLDR facts, so that everything runs at once."""
