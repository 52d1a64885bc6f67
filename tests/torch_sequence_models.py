"""Sequence and graph models as their authors write them for PyTorch; see torch_vision_models.py."""

import copy
import math
from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


@dataclass
class GPTConfig:
    block_size: int = 8
    vocab_size: int = 11
    n_layer: int = 2
    n_head: int = 2
    n_embd: int = 8
    dropout: float = 0.0


class CausalSelfAttention(nn.Module):
    def __init__(self, config, flash):
        super().__init__()
        self.c_attn = nn.Linear(config.n_embd, 3 * config.n_embd)
        self.c_proj = nn.Linear(config.n_embd, config.n_embd)
        self.n_head, self.flash = config.n_head, flash
        mask = torch.tril(torch.ones(config.block_size, config.block_size))
        self.register_buffer("bias", mask.view(1, 1, config.block_size, config.block_size))

    def forward(self, x):
        B, T, C = x.size()
        q, k, v = self.c_attn(x).split(C, dim=2)
        q, k, v = (t.view(B, T, self.n_head, C // self.n_head).transpose(1, 2) for t in (q, k, v))
        if self.flash:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=True)
        else:
            att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            att = att.masked_fill(self.bias[:, :, :T, :T] == 0, float("-inf"))
            y = F.softmax(att, dim=-1) @ v
        return self.c_proj(y.transpose(1, 2).contiguous().view(B, T, C))


class GPT(nn.Module):
    def __init__(self, config, flash=True):
        super().__init__()
        self.config = config
        n = config.n_embd
        block = lambda: nn.ModuleDict(
            dict(
                ln_1=nn.LayerNorm(n),
                attn=CausalSelfAttention(config, flash),
                ln_2=nn.LayerNorm(n),
                mlp=nn.Sequential(nn.Linear(n, 4 * n), nn.GELU(approximate="tanh"), nn.Linear(4 * n, n)),
            )
        )
        self.transformer = nn.ModuleDict(
            dict(
                wte=nn.Embedding(config.vocab_size, n),
                wpe=nn.Embedding(config.block_size, n),
                drop=nn.Dropout(config.dropout),
                h=nn.ModuleList([block() for _ in range(config.n_layer)]),
                ln_f=nn.LayerNorm(n),
            )
        )
        self.lm_head = nn.Linear(n, config.vocab_size, bias=False)
        self.transformer.wte.weight = self.lm_head.weight
        self.apply(self._init_weights)
        for pn, p in self.named_parameters():
            if pn.endswith("c_proj.weight"):
                torch.nn.init.normal_(p, mean=0.0, std=0.02 / math.sqrt(2 * config.n_layer))

    def _init_weights(self, module):
        if isinstance(module, nn.Linear):
            torch.nn.init.normal_(module.weight, mean=0.0, std=0.2)
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            torch.nn.init.normal_(module.weight, mean=0.0, std=0.2)

    def forward(self, idx, targets):
        pos = torch.arange(0, idx.size(1), dtype=torch.long, device=idx.device)
        x = self.transformer.drop(self.transformer.wte(idx) + self.transformer.wpe(pos))
        for block in self.transformer.h:
            x = x + block["attn"](block["ln_1"](x))
            x = x + block.mlp(block.ln_2(x))
        logits = self.lm_head(self.transformer.ln_f(x))
        loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)
        return logits[:, [-1], :], loss

    @torch.no_grad()
    def generate(self, idx, max_new_tokens, top_k=None):
        for _ in range(max_new_tokens):
            idx_cond = idx if idx.size(1) <= self.config.block_size else idx[:, -self.config.block_size :]
            logits, _ = self(idx_cond, idx_cond)
            logits = logits[:, -1, :] / 0.8
            if top_k is not None:
                v, _ = torch.topk(logits, min(top_k, logits.size(-1)))
                logits[logits < v[:, [-1]]] = -float("Inf")
            probs = F.softmax(logits, dim=-1)
            idx = torch.cat((idx, torch.multinomial(probs, num_samples=1)), dim=1)
        return idx


class BertEmbeddings(nn.Module):
    def __init__(self, vocab=13, hidden=8, positions=9):
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab, hidden, padding_idx=0)
        self.position_embeddings = nn.Embedding(positions, hidden)
        self.token_type_embeddings = nn.Embedding(2, hidden)
        self.LayerNorm, self.dropout = nn.LayerNorm(hidden, eps=1e-12), nn.Dropout(0.0)
        self.register_buffer("position_ids", torch.arange(positions).expand((1, -1)), persistent=False)

    def forward(self, input_ids, token_type_ids=None):
        seq_length = input_ids.shape[-1]
        if token_type_ids is None:
            token_type_ids = torch.zeros(input_ids.size(), dtype=torch.long, device=input_ids.device)
        x = self.word_embeddings(input_ids) + self.token_type_embeddings(token_type_ids)
        return self.dropout(self.LayerNorm(x + self.position_embeddings(self.position_ids[:, :seq_length])))


class Bert(nn.Module):
    def __init__(self, hidden=8, heads=2):
        super().__init__()
        self.embeddings = BertEmbeddings(hidden=hidden)
        self.attention = nn.MultiheadAttention(hidden, heads, dropout=0.0, batch_first=True)
        self.norms = nn.ModuleList([nn.LayerNorm(hidden) for _ in range(2)])
        self.ff = nn.Sequential(
            OrderedDict([("up", nn.Linear(hidden, 16)), ("act", nn.GELU()), ("down", nn.Linear(16, hidden))])
        )
        self.pooler = nn.Linear(hidden, hidden)
        self.decoder_bias = nn.Parameter(torch.zeros(13))

    def forward(self, input_ids, labels):
        padding = input_ids.eq(0)
        x = self.embeddings(input_ids)
        attended, _ = self.attention(x, x, x, key_padding_mask=padding, need_weights=False)
        x = self.norms[0](x + attended)
        x = self.norms[1](x + self.ff(x))
        logits = F.linear(x, self.embeddings.word_embeddings.weight, self.decoder_bias)
        loss = nn.CrossEntropyLoss(ignore_index=-100, label_smoothing=0.1)(logits.transpose(1, 2), labels)
        mask = (~padding).unsqueeze(-1).type_as(x)
        mean = (x * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
        return loss, torch.tanh(self.pooler(x[:, 0])), F.normalize(mean, p=2, dim=1)


class T5Attention(nn.Module):
    def __init__(self, d_model=8, heads=2, buckets=8, max_distance=16):
        super().__init__()
        self.heads, self.buckets, self.max_distance = heads, buckets, max_distance
        self.q, self.k, self.v, self.o = (nn.Linear(d_model, d_model, bias=False) for _ in range(4))
        self.relative_attention_bias = nn.Embedding(buckets, heads)
        self.weight = nn.Parameter(torch.ones(d_model))

    def bucket(self, relative_position):
        half = self.buckets // 2
        result = (relative_position > 0).to(torch.long) * half
        relative_position = torch.abs(relative_position)
        max_exact = half // 2
        large = max_exact + (
            torch.log(relative_position.float() / max_exact)
            / math.log(self.max_distance / max_exact)
            * (half - max_exact)
        ).clamp(min=-100).to(torch.long)
        large = torch.min(large, torch.full_like(large, half - 1))
        result += torch.where(relative_position < max_exact, relative_position, large)
        return result

    def forward(self, x, memory):
        variance = x.pow(2).mean(-1, keepdim=True)
        h = self.weight * (x * torch.rsqrt(variance + 1e-6))
        n, m = x.shape[1], memory.shape[1]
        shape = lambda t: t.view(t.shape[0], -1, self.heads, t.shape[-1] // self.heads).transpose(1, 2)
        scores = torch.matmul(shape(self.q(h)), shape(self.k(memory)).transpose(3, 2))
        context = torch.arange(n, dtype=torch.long)[:, None]
        places = torch.arange(m, dtype=torch.long)[None, :]
        bias = self.relative_attention_bias(self.bucket(places - context)).permute([2, 0, 1]).unsqueeze(0)
        scores += bias
        weights = (
            F.softmax(scores.float(), dim=-1).type_as(scores) if scores.dtype == torch.half else scores.softmax(-1)
        )
        return x + self.o(torch.matmul(weights, shape(self.v(memory))).transpose(1, 2).contiguous().flatten(-2))


class EncoderDecoder(nn.Module):
    """The Transformer for translation: sinusoidal positions, masks, deep copies of layers."""

    def __init__(self, vocab=10, d=8):
        super().__init__()
        self.embed = nn.Embedding(vocab, d)
        position = torch.arange(12).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, d, 2) * (-math.log(10000.0) / d))
        pe = torch.zeros(12, 1, d)
        pe[:, 0, 0::2] = torch.sin(position * div_term)
        pe[:, 0, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe)
        self.transformer = nn.Transformer(d, 2, 1, 1, 16, 0.0)
        self.extra = nn.ModuleList([copy.deepcopy(layer) for layer in [nn.Linear(d, d)] * 2])
        self.generator = nn.Linear(d, vocab)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.xavier_uniform_(p)

    def forward(self, src, tgt):
        src, tgt_in = src.t(), tgt.t()[:-1]
        mask = nn.Transformer.generate_square_subsequent_mask(tgt_in.size(0), dtype=self.pe.dtype)
        encode = lambda t: self.embed(t) * math.sqrt(self.embed.embedding_dim) + self.pe[: t.size(0)]
        out = self.transformer(
            encode(src), encode(tgt_in), tgt_mask=mask, src_key_padding_mask=(src == 0).transpose(0, 1)
        )
        for layer in self.extra:
            out = out + F.mish(layer(out))
        logits = self.generator(out)
        return F.nll_loss(logits.log_softmax(-1).reshape(-1, logits.size(-1)), tgt.t()[1:].reshape(-1))


class Seq2Seq(nn.Module):
    """A bidirectional encoder over packed sequences; a decoder of cells with additive attention."""

    def __init__(self, vocab=9, hidden=6):
        super().__init__()
        self.embedding = nn.Embedding(vocab, hidden, padding_idx=0)
        self.encoder = nn.LSTM(hidden, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.bridge = nn.Linear(2 * hidden, hidden)
        self.decoder = nn.LSTMCell(hidden + 2 * hidden, hidden)
        self.attn, self.v = nn.Linear(3 * hidden, hidden), nn.Parameter(torch.rand(hidden))
        self.out = nn.Linear(hidden, vocab)

    def forward(self, src, src_len, trg):
        packed = pack_padded_sequence(self.embedding(src), src_len.cpu(), batch_first=True, enforce_sorted=False)
        outputs, (hidden, _) = self.encoder(packed)
        outputs, lengths = pad_packed_sequence(outputs, batch_first=True)
        mask = torch.arange(outputs.size(1))[None, :] >= lengths[:, None]
        h = torch.tanh(self.bridge(torch.cat((hidden[-2, :, :], hidden[-1, :, :]), dim=1)))
        c = torch.zeros_like(h)
        steps = []
        for t in range(trg.size(1)):
            energy = torch.tanh(self.attn(torch.cat((h[:, None].repeat(1, outputs.size(1), 1), outputs), dim=2)))
            scores = (energy @ self.v).masked_fill(mask, -1e10)
            context = torch.bmm(F.softmax(scores, dim=1).unsqueeze(1), outputs).squeeze(1)
            h, c = self.decoder(torch.cat((self.embedding(trg[:, t]), context), dim=1), (h, c))
            steps.append(self.out(h))
        return torch.stack(steps, dim=1)


class CRNN(nn.Module):
    def __init__(self, classes=6, hidden=5):
        super().__init__()
        cnn = nn.Sequential()
        cnn.add_module("conv0", nn.Conv2d(1, 4, 3, 1, 1))
        cnn.add_module("relu0", nn.ReLU(True))
        cnn.add_module("pooling0", nn.MaxPool2d((2, 2), (2, 1), (0, 1)))
        cnn.add_module("conv1", nn.Conv2d(4, 6, (4, 2), 1, 0))
        self.cnn = cnn
        self.rnn = nn.GRU(6, hidden, bidirectional=True)
        self.embedding = nn.Linear(2 * hidden, classes)

    def forward(self, x, targets, target_lengths):
        conv = self.cnn(x)
        assert conv.size(2) == 1, "the height of conv must be 1"
        conv = conv.squeeze(2).permute(2, 0, 1)
        recurrent, _ = self.rnn(conv)
        T, b, h = recurrent.size()
        log_probs = self.embedding(recurrent.view(T * b, h)).view(T, b, -1).log_softmax(2)
        lengths = torch.full(size=(b,), fill_value=T, dtype=torch.long)
        return nn.CTCLoss(blank=0, zero_infinity=True)(log_probs, targets, lengths, target_lengths)


class WaveNet(nn.Module):
    def __init__(self, channels=4, layers=3):
        super().__init__()
        norm = nn.utils.weight_norm
        self.causal = nn.Conv1d(1, channels, 1)
        self.dilated = nn.ModuleList([norm(nn.Conv1d(channels, 2 * channels, 2, dilation=2**i)) for i in range(layers)])
        self.skips = nn.ModuleList([nn.Conv1d(channels, channels, 1) for _ in range(layers)])
        self.post = nn.Sequential(nn.ReLU(), nn.Conv1d(channels, 8, 1))

    def forward(self, x):
        x, skip = self.causal(x), 0
        for i, (dilated, conv) in enumerate(zip(self.dilated, self.skips)):
            filtered, gate = dilated(F.pad(x, (2**i, 0))).chunk(2, 1)
            z = torch.tanh(filtered) * torch.sigmoid(gate)
            skip = skip + conv(z)
            x = x + z
        return self.post(skip)


class GraphLayers(nn.Module):
    """A graph convolution by index_add_, an attention layer by scatter, a pooling of nodes by graph."""

    def __init__(self, features=5, hidden=6):
        super().__init__()
        self.lin, self.att = nn.Linear(features, hidden, bias=False), nn.Parameter(torch.empty(1, 2 * hidden))
        self.bias = nn.Parameter(torch.Tensor(hidden))
        self.reset_parameters()
        self.gru, self.out = nn.GRUCell(hidden, hidden), nn.Linear(2 * hidden, 3)

    def reset_parameters(self):
        nn.init.xavier_uniform_(self.att, gain=nn.init.calculate_gain("leaky_relu", 0.2))
        nn.init.uniform_(self.bias, -0.1, 0.1)

    def forward(self, x, edge_index, batch):
        n = x.size(0)
        row, col = edge_index
        loops = torch.arange(n, dtype=torch.long, device=x.device)
        row, col = torch.cat([row, loops]), torch.cat([col, loops])
        deg = torch.zeros(n, dtype=x.dtype).scatter_add_(0, col, torch.ones(col.size(0), dtype=x.dtype))
        norm = deg.pow(-0.5)
        norm[norm == float("inf")] = 0
        h = self.lin(x)
        agg = torch.zeros_like(h).index_add_(0, col, h[row] * (norm[row] * norm[col]).unsqueeze(-1)) + self.bias
        e = F.leaky_relu((torch.cat([agg[row], agg[col]], -1) * self.att).sum(-1), 0.2)
        top = torch.full((n,), float("-inf"), dtype=e.dtype).scatter_reduce(0, col, e, reduce="amax")
        alpha = torch.exp(e - top[col])
        alpha = alpha / torch.zeros(n, dtype=e.dtype).index_add(0, col, alpha)[col]
        agg = self.gru(
            torch.zeros_like(agg).scatter_add(0, col[:, None].expand(-1, agg.size(1)), alpha[:, None] * agg[row])
        )
        graphs = int(batch.max()) + 1
        total = agg.new_zeros(graphs, agg.size(1)).index_add_(0, batch, agg)
        mean = total / torch.bincount(batch, minlength=graphs).clamp_(min=1).unsqueeze(1)
        return self.out(torch.cat([total, mean], dim=-1))


class TextCNN(nn.Module):
    def __init__(self, vocab=12, d=6):
        super().__init__()
        self.embed = nn.EmbeddingBag(vocab, d, mode="mean")
        self.words = nn.Embedding.from_pretrained(torch.arange(vocab * d).view(vocab, d).double() / 50, freeze=False)
        self.convs = nn.ModuleList([nn.Conv2d(1, 3, (k, d)) for k in (2, 3)])
        self.fc = nn.Linear(6 + d, 2)

    def forward(self, x, labels):
        words = self.words(x).unsqueeze(1)
        pooled = [F.max_pool1d(c := F.relu(conv(words)).squeeze(3), c.size(2)).squeeze(2) for conv in self.convs]
        logit = self.fc(torch.cat([*pooled, self.embed(x)], 1))
        weight = torch.tensor([1.0, 2.0], dtype=logit.dtype)
        correct = (torch.max(logit, 1)[1].view(labels.size()) == labels).sum()
        return F.cross_entropy(logit, labels, weight=weight), correct.double() / len(labels)


def ids(r, high, *shape, low=0):
    return r.integers(low, high, shape)


MODELS = {
    "gpt2": (lambda: GPT(GPTConfig()), lambda r: (ids(r, 11, 2, 8), ids(r, 11, 2, 8, low=-1))),
    "gpt2_masked": (lambda: GPT(GPTConfig(n_head=4), False), lambda r: (ids(r, 11, 2, 6), ids(r, 11, 2, 6))),
    "bert": (Bert, lambda r: (ids(r, 13, 3, 7, low=1) * (r.random((3, 7)) < 0.8), ids(r, 13, 3, 7))),
    "t5_attention": (T5Attention, lambda r: (r.standard_normal((2, 5, 8)), r.standard_normal((2, 9, 8)))),
    "transformer": (EncoderDecoder, lambda r: (ids(r, 10, 2, 6, low=1), ids(r, 10, 2, 5, low=1))),
    "seq2seq": (Seq2Seq, lambda r: (ids(r, 9, 3, 6, low=1), ids(r, 7, 3, low=3), ids(r, 9, 3, 4))),
    "crnn": (CRNN, lambda r: (r.standard_normal((2, 1, 8, 10)), ids(r, 6, 2, 3, low=1), ids(r, 4, 2, low=1))),
    "wavenet": (WaveNet, lambda r: (r.standard_normal((2, 1, 16)),)),
    "graph": (
        GraphLayers,
        lambda r: (r.standard_normal((7, 5)), ids(r, 7, 2, 12), r.permutation([0, 0, 0, 1, 1, 2, 2])),
    ),
    "text_cnn": (TextCNN, lambda r: (ids(r, 12, 3, 6), ids(r, 2, 3))),
}
