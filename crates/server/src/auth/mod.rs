//! Who is calling: passwords, tokens, keys, and the brakes against guessing.
