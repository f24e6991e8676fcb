import pytest
import torch

from sdfpose_core.encoder.pspnet import PspNet, ResNet18
from sdfpose_core.errors import ShapeError, WeightsError
from sdfpose_core.learning import distributed

WIDTH = 8


class TorchvisionBlock(torch.nn.Module):
    """A residual block as torchvision has it, with its names."""

    def __init__(self, n_in, n_out, stride, dilation):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(
            n_in, n_out, 3, stride, padding=dilation, dilation=dilation, bias=False
        )
        self.bn1 = torch.nn.BatchNorm2d(n_out)
        self.conv2 = torch.nn.Conv2d(
            n_out, n_out, 3, padding=dilation, dilation=dilation, bias=False
        )
        self.bn2 = torch.nn.BatchNorm2d(n_out)
        if n_in != n_out or stride != 1:
            self.downsample = torch.nn.Sequential(
                torch.nn.Conv2d(n_in, n_out, 1, stride, bias=False), torch.nn.BatchNorm2d(n_out)
            )

    def forward(self, x):
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(out + (self.downsample(x) if hasattr(self, "downsample") else x))


class TorchvisionResNet(torch.nn.Module):
    def __init__(self, w):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, w, 7, stride=2, padding=3, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(w)
        sizes = ((w, w, 1, 1), (w, 2 * w, 2, 1), (2 * w, 4 * w, 1, 2), (4 * w, 8 * w, 1, 4))
        for i, (n_in, n_out, stride, dilation) in enumerate(sizes, start=1):
            blocks = (
                TorchvisionBlock(n_in, n_out, stride, 1),
                TorchvisionBlock(n_out, n_out, 1, dilation),
            )
            setattr(self, f"layer{i}", torch.nn.Sequential(*blocks))
        self.fc = torch.nn.Linear(8 * w, 10)

    def forward(self, x):
        x = torch.nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


@pytest.fixture
def torchvision_net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = TorchvisionResNet(WIDTH)
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.normal_(module.bias, std=0.1)
                torch.nn.init.normal_(module.running_mean, std=0.1)
                torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return net.eval()


def test_shapes_of_the_output(device):
    net = PspNet(WIDTH).to(device).eval()
    image = torch.randn(2, 3, 40, 40, device=device)
    with torch.no_grad():
        assert net.resnet(image).shape == (2, 8 * WIDTH, 5, 5)
        features = net(image)
    assert features.shape == (2, WIDTH // 2, 40, 40)
    torch.testing.assert_close(features.exp().sum(1), torch.ones(2, 40, 40, device=device))


def test_gradients_reach_the_first_layer():
    net = PspNet(WIDTH)
    net(torch.randn(1, 3, 24, 24))[:, 0].sum().backward()
    assert net.resnet.conv1.weight.grad.abs().max() > 0.0


@pytest.mark.parametrize("shape", [(3, 24, 24), (1, 4, 24, 24), (1, 3, 20, 20)])
def test_images_that_do_not_fit_are_refused(shape):
    with pytest.raises(ShapeError, match=r"expected \(B, 3, S, S\), S a multiple of 8"):
        PspNet(WIDTH)(torch.zeros(shape))


def test_torchvisions_weights_give_what_they_give_there(torchvision_net, tmp_path):
    path = tmp_path / "resnet18.pth"
    torch.save(torchvision_net.state_dict(), path)
    net = ResNet18(WIDTH).eval()
    net.load_torchvision(path)
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(net(image), torchvision_net(image), atol=1e-4, rtol=1e-4)


def test_weights_of_another_network_are_refused(torchvision_net, tmp_path):
    path = tmp_path / "resnet18.pth"
    state = torchvision_net.state_dict()
    torch.save({**state, "layer2.0.conv1.weight": torch.zeros(3)}, path)
    with pytest.raises(
        WeightsError, match=r"layer2\.0\.conv1\.weight has shape \(3,\): expected a tensor of shape"
    ):
        ResNet18(WIDTH).load_torchvision(path)
    del state["layer3.0.downsample.1.bias"]
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"layer3\.0\.downsample\.1\.bias is no tensor: exp"):
        ResNet18(WIDTH).load_torchvision(path)
    torch.save(torchvision_net, path)
    with pytest.raises(WeightsError, match="refused"):
        ResNet18(WIDTH).load_torchvision(path)


def test_dropout_does_not_depend_on_the_number_of_processes(monkeypatch):
    net = PspNet(WIDTH).train()
    images = torch.randn(4, 3, 24, 24)

    def features(part):
        torch.manual_seed(3)
        with torch.no_grad():
            return net(part)

    whole = features(images)
    assert not torch.equal(whole, net.eval()(images))
    net.train()
    monkeypatch.setattr(distributed, "_world", lambda: 2)
    for rank in range(2):
        monkeypatch.setattr(distributed, "_rank", lambda rank=rank: rank)
        own = slice(2 * rank, 2 * rank + 2)
        torch.testing.assert_close(features(images[own]), whole[own])
