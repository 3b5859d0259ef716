"""Tasks: data or a generator, loss, metrics. ``NAMES`` says where each named one is made."""

NAMES = {
    "digits": "gridscape.tasks.images:digits_rows",
    "digits-rows": "gridscape.tasks.images:digits_rows",
    "digits-flat": "gridscape.tasks.images:digits_flat",
    "digits-image": "gridscape.tasks.images:digits_image",
    "mnist-rows": "gridscape.tasks.images:mnist_rows",
    "mnist-flat": "gridscape.tasks.images:mnist_flat",
    "mnist-image": "gridscape.tasks.images:mnist_image",
    "cifar10": "gridscape.tasks.images:cifar10",
    "cifar10-rows": "gridscape.tasks.images:cifar10_rows",
    "cifar10-flat": "gridscape.tasks.images:cifar10_flat",
    "cifar10-gray28": "gridscape.tasks.images:cifar10_gray28",
    "cifar10-gray28-rows": "gridscape.tasks.images:cifar10_gray28_rows",
    "cifar10-gray28-flat": "gridscape.tasks.images:cifar10_gray28_flat",
    "table": "gridscape.tasks.own:table",
    "arrays": "gridscape.tasks.own:arrays",
    "idx": "gridscape.tasks.own:idx",
    "image-folder": "gridscape.tasks.images:image_folder",
    "quadratic": "gridscape.tasks.quadratic:quadratic",
    "recall": "gridscape.tasks.sequences:recall",
    "binary-addition": "gridscape.tasks.sequences:binary_addition",
}
