"""The portable runtime: runs a llamafile on any machine with Python and numpy.

Its modules are meant to be read in this order, from the model file to the next token:

1. `weights`: the numbers in the file, and their quantised types;
2. `hyperparameters`: the shape of the model, from the metadata and the defaults of its architecture;
3. `tensors`: the names and shapes of the weights;
4. `normalization`, `rope`, `attention`, `feed_forward`: the parts of a layer;
5. `transformer`: the whole model, from tokens to the scores of the next one;
6. `vocabulary`: the tokens; `unicode_classes`, `pretokenizer`, `merging`: splitting a text and merging the parts;
7. `bpe`, `spm`, `tokenizer`: the two encodings, and the conversion of text to tokens and back;
8. `sampling`, `generation`: choosing the next token, and repeating it into a text;
9. `container`, `settings`, `prompt`, `completion`, `output`, `cli`: the file, the command line and the output.

It computes the same as the engine, in 32-bit floating point throughout; tests compare the two.
"""
