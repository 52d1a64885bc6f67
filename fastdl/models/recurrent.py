"""A bidirectional recurrent network that classifies texts."""

import math

import fastdl as fd
from fastdl import nn
from fastdl.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class RecurrentClassifier(nn.Module):
    """Embedding, bidirectional LSTM over packed sequences, maximum and mean over time, linear layer.

    Shape: words (N, T), int64, 0 after a text's end -> (N, classes) logits.

    Args:
        vocabulary: number of different words, with 0, padding, and 1, which stands for a word that is not to be seen.
        classes: number of classes.
        embedding: size of a word's vector.
        hidden: size of each direction's state.
        word_dropout: probability that training replaces a word by number 1.
        dropout: probability of dropping an element of the words' vectors and of what is pooled.

    Raises:
        ValueError: a text without words. IndexError: a word out of range.

    >>> model = RecurrentClassifier(vocabulary=10, classes=2, embedding=4, hidden=3)
    >>> model(fd.tensor([[2, 3, 4], [5, 0, 0]])).shape
    (2, 2)
    """

    def __init__(self, vocabulary, classes, embedding=64, hidden=64, word_dropout=0.1, dropout=0.5):
        super().__init__()
        self.config = {
            "type": type(self).__name__,
            "vocabulary": vocabulary,
            "classes": classes,
            "embedding": embedding,
            "hidden": hidden,
            "word_dropout": word_dropout,
            "dropout": dropout,
        }
        self.word_dropout = word_dropout
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=0)
        self.rnn = nn.LSTM(embedding, hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(4 * hidden, classes)

    def forward(self, words):
        lengths = (words != 0).sum(1)
        if self.training and self.word_dropout:
            dropped = (fd.rand(*words.shape, device=words.device) < self.word_dropout) & (words != 0)
            words = words.masked_fill(dropped, 1)
        x = self.dropout(self.embedding(words))
        packed, _ = self.rnn(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
        states, _ = pad_packed_sequence(packed, batch_first=True)  # zeros after a text's end
        outside = (fd.arange(states.shape[1], device=words.device) >= lengths.unsqueeze(1)).unsqueeze(2)
        largest = states.masked_fill(outside, -math.inf).amax(1)
        mean = states.sum(1) / lengths.unsqueeze(1)
        return self.classifier(self.dropout(fd.cat((largest, mean), 1)))
