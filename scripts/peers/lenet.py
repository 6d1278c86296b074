"""One epoch of LeNet-5 on MNIST with PyTorch, beside which `benches/training.rs` is measured.

Reads MNIST's IDX files from a folder, trains with stochastic gradient descent and momentum, and prints one line of JSON
an epoch: seconds, mean loss, training accuracy, test accuracy. The samples of an epoch are gathered from one tensor in
memory, without a DataLoader, whose workers would be timed otherwise. The network is henn's `lenet_5`: convolutions of
5x5 (the first padded by 2) to 6 and 16 channels, mean pooling, dense layers of 120, 84 and 10.

    python lenet.py FOLDER [--epochs N] [--threads N] [--batch N] [--activation tanh|relu]
"""

import argparse
import json
import pathlib
import time

import numpy
import torch
from torch import nn


def idx(path):
    data = path.read_bytes()
    dimensions = data[3]
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(dimensions)]
    return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * dimensions).reshape(shape)


def load(folder, name):
    images = torch.from_numpy(idx(folder / f"{name}-images-idx3-ubyte").astype(numpy.float32) / 255)
    labels = torch.from_numpy(idx(folder / f"{name}-labels-idx1-ubyte").astype(numpy.int64))
    return images.unsqueeze(1), labels


def lenet(activation):
    act = {"tanh": nn.Tanh, "relu": nn.ReLU}[activation]
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.AvgPool2d(2), act(),
        nn.Conv2d(6, 16, 5), nn.AvgPool2d(2), act(),
        nn.Flatten(), nn.Linear(400, 120), act(), nn.Linear(120, 84), act(), nn.Linear(84, 10),
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--activation", default="relu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    images, labels = load(arguments.folder, "train")
    test_images, test_labels = load(arguments.folder, "t10k")
    model = lenet(arguments.activation)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    loss_of = nn.CrossEntropyLoss()
    # One step and back, so that libraries are loaded before the clock starts.
    loss_of(model(images[:64]), labels[:64]).backward()
    for epoch in range(arguments.epochs):
        start = time.perf_counter()
        order = torch.randperm(len(images))
        total, right = 0.0, 0
        for batch in order.split(arguments.batch):
            x, y = images[batch], labels[batch]
            optimiser.zero_grad()
            out = model(x)
            loss = loss_of(out, y)
            loss.backward()
            optimiser.step()
            total += loss.item() * len(batch)
            right += (out.argmax(1) == y).sum().item()
        seconds = time.perf_counter() - start
        with torch.no_grad():
            test = (model(test_images).argmax(1) == test_labels).float().mean().item()
        row = {"epoch": epoch + 1, "seconds": seconds, "loss": total / len(images), "accuracy": right / len(images),
               "test_accuracy": test}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
