"""Results of several tensors that are read by place or by name."""


def result(*fields):
    """A tuple class whose places have names.

    (`collections.namedtuple` compiles code for each class, which `import fastdl` would wait for.)
    """

    def show(self):
        return f"({', '.join(f'{name}={value!r}' for name, value in zip(fields, self))})"

    members = {name: property(lambda self, i=i: self[i]) for i, name in enumerate(fields)}
    return type("".join(f.capitalize() for f in fields), (tuple,), {"__slots__": (), "__repr__": show, **members})


ValuesIndices = result("values", "indices")
MinMax = result("min", "max")
