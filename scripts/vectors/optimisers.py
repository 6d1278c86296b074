"""Makes tests/vectors/optimisers.json: a small network after ten full-batch steps of PyTorch's SGD and AdamW, in 64 bits.

    python scripts/vectors/optimisers.py > tests/vectors/optimisers.json
"""

import json

import torch

torch.set_default_dtype(torch.float64)
torch.manual_seed(1)
x = torch.randn(12, 4)
labels = torch.arange(12) % 2
first, second = torch.randn(3, 4) * 0.5, torch.randn(2, 3) * 0.5
cases = []
for case in [
    {"optimiser": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0},
    {"optimiser": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.0},
    {"optimiser": "sgd", "learning_rate": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.02},
    {"optimiser": "adamw", "learning_rate": 0.01, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.0},
    {"optimiser": "adamw", "learning_rate": 0.05, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-6, "weight_decay": 0.1},
]:
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    with torch.no_grad():
        model[0].weight.copy_(first), model[2].weight.copy_(second)
        model[0].bias.copy_(torch.tensor([0.1, -0.2, 0.3])), model[2].bias.copy_(torch.tensor([0.05, -0.05]))
    # Biases do not decay in henn.
    groups = [
        {"params": [model[0].weight, model[2].weight], "weight_decay": case["weight_decay"]},
        {"params": [model[0].bias, model[2].bias], "weight_decay": 0.0},
    ]
    if case["optimiser"] == "sgd":
        optimiser = torch.optim.SGD(groups, lr=case["learning_rate"], momentum=case["momentum"], nesterov=case["nesterov"])
    else:
        optimiser = torch.optim.AdamW(groups, lr=case["learning_rate"], betas=(case["beta1"], case["beta2"]), eps=case["epsilon"])
    for _ in range(10):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(x), labels).backward()
        optimiser.step()
    parts = [model[0].weight, model[0].bias, model[2].weight, model[2].bias]
    cases.append(case | {"after": torch.cat([part.detach().flatten() for part in parts]).tolist()})
print(json.dumps({"torch": torch.__version__, "x": x.tolist(), "labels": labels.tolist(), "first": first.tolist(),
                  "second": second.tolist(), "cases": cases}, indent=1))
