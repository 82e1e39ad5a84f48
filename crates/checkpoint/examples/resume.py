"""Resumes with mmengine's runner what the example `save` has written: python resume.py epoch_3.pth"""
import sys
import tempfile

import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

file = sys.argv[1]
saved = torch.load(file, weights_only=True)


class Network(BaseModel):
    def __init__(self):
        super().__init__()
        self.add_module('0', nn.Conv2d(2, 3, 3))
        self.add_module('1', nn.BatchNorm2d(3))

    def forward(self, *inputs, mode='loss'):
        return dict(loss=self.get_submodule('1')(self.get_submodule('0')(torch.stack(inputs))).sum())


class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.randn(2, 5, 5)


loader = dict(dataset=Data(), batch_size=2, sampler=dict(type='DefaultSampler', shuffle=False))
optimizer = dict(type='SGD', lr=0.1, momentum=0.9)
with tempfile.TemporaryDirectory() as folder:
    runner = Runner(
        model=Network(), work_dir=folder, train_dataloader=loader, log_level='ERROR',
        train_cfg=dict(by_epoch=True, max_epochs=5), optim_wrapper=dict(optimizer=optimizer),
        load_from=file, resume=True)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.resume(file)
    state = runner.optim_wrapper.optimizer
    assert (runner.epoch, runner.iter) == (3, 12)
    assert state.param_groups[0]['lr'] == 0.05
    assert len(state.state) == 4
    assert all((value['momentum_buffer'] == 1).all() for value in state.state.values())
    own = runner.model.state_dict()
    assert list(own) == list(saved['state_dict'])
    assert all(torch.equal(own[name], tensor) for name, tensor in saved['state_dict'].items())
    runner.train()
    assert runner.epoch == 5
print('resumed', file)
