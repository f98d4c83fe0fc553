"""The portable runtime: any machine with Python and numpy runs the same file.

It is written to be read, from what a model file holds to the next token, each module one idea:

1. `weights`: numbers in the file, and how they come back from the few bits they are stored in;
2. `hyperparameters`: what the file says of the model's shape, and what its architecture leaves unsaid;
3. `tensors`: which weights such a model has;
4. `normalization`, `rope`, `attention`, `feed_forward`: the parts of a layer;
5. `transformer`: the whole, from tokens to the scores of the next one;
6. `vocabulary`: what the tokens are; `outline`, `words`, `merging`: how a text is taken apart and put together again;
7. `byte_pairs`, `sentence_pieces`, `tokenizer`: the two ways to do that, and the whole, from a text to tokens and back;
8. `sampling`, `generation`: which token comes next, again and again, until there is a text;
9. `container`, `settings`, `prompt`, `completion`, `output`, `cli`: a file and a command line in, the text out.

What it computes is what the engine computes, in 32-bit floating point throughout; tests compare the two.
"""
