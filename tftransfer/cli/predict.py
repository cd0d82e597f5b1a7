"""Ask an exported model what is on some images, or what some texts say.

With --output, a folder is searched to its depth, or a table read to its end, and every
row gets a line in a file; of files that are no images it tells why. The same command
goes on where a run was stopped. With --workers, processes of Ray share the rows out, on
this machine or, with --address, on a cluster whose machines all see the same files.
"""

import tftransfer as tft

HELP = "ask an exported model for predictions"
EXAMPLES = """\
examples:
  tftransfer predict saved_models/photos photo.jpg
  tftransfer predict saved_models/photos new/*.png --json
  tftransfer predict saved_models/reviews "A fine film." "Dull from start to end."
  tftransfer predict saved_models/photos archive/ --output predictions.parquet
  tftransfer predict saved_models/reviews all.csv --text-column review \\
      --output predictions.csv
  tftransfer predict saved_models/photos archive/ --output predictions.csv --workers 8
"""


def add_arguments(parser):
    """Add the arguments of this command."""
    parser.add_argument("model", metavar="EXPORT", help="a folder that export wrote")
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="images, or a folder; texts; with --output also a CSV, TSV or JSON-lines "
        "table",
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--json", action="store_true", help="print JSON")
    group.add_argument(
        "--output", metavar="FILE", help="write a .csv, .jsonl or .parquet file"
    )
    parser.add_argument(
        "--on-error",
        choices=["raise", "keep"],
        default="raise",
        help="about a file that cannot be read; --output always keeps the others",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the output")
    parser.add_argument("--text-column", help="of a table (default: text)")
    parser.add_argument("--image-column", help="of a table (default: image)")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N")
    parser.add_argument(
        "--engine",
        default="auto",
        help="tensorflow (default), or a format that the export holds: litert, onnx, "
        "openvino",
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="share the rows out over N of Ray"
    )
    parser.add_argument(
        "--address", help="of the cluster of Ray (default: local, begun for this call)"
    )


def run(arguments):
    """Run the command."""
    cluster = _find_cluster(arguments)
    exported = tft.load_exported(arguments.model, engine=arguments.engine)
    inputs = arguments.inputs
    rows = inputs[0] if len(inputs) == 1 else inputs
    if arguments.output is None:
        options = {"batch_size": arguments.batch_size, "on_error": arguments.on_error}
        predictions = exported.predict(rows, **options)
        print(predictions.to_json() if arguments.json else predictions)
        return
    done = tft.batch_predict(
        exported,
        rows,
        arguments.output,
        text_column=arguments.text_column,
        image_column=arguments.image_column,
        batch_size=arguments.batch_size,
        overwrite=arguments.overwrite,
        cluster=cluster,
    )
    print(done)


def _find_cluster(arguments):
    workers, address = arguments.workers, arguments.address
    if workers is None and address is None:
        return None
    if workers is None or arguments.output is None:
        raise ValueError(
            "--address goes with --workers, and --workers with --output. Received: "
            f"--workers {workers}, --address {address}, --output {arguments.output}. "
            "Add what is missing."
        )
    return tft.RayCluster(workers, address=address or "local")
