"""What is inside a llamafile and who made it: the manifest, its verification, the bill of materials, signatures."""
