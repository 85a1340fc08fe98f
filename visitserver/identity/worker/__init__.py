"""What runs in the identity process: pictures, characters, faces. Imported nowhere else (tests check it)."""
