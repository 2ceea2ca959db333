"""scvi-tools: a module of two modalities tied by a joint prior, in that library's own idiom, on counts of 700 blood cells.

A ``BaseModuleClass`` in an ``UnsupervisedTrainingMixin`` model, with scvi-tools' fields, layers, negative binomial, training
plan and KL warm-up. The cells are those that scanpy brings with it, their 765 genes are split into two panels. The number:
variance of the second panel's log-expression in unseen cells that is explained from the first, beside ridge regression.
"""

import warnings

import anndata
import numpy as np
import scanpy
import scvi
import torch
from scvi.data import AnnDataManager
from scvi.data.fields import LayerField, ObsmField
from scvi.distributions import NegativeBinomial
from scvi.model.base import BaseModelClass, UnsupervisedTrainingMixin
from scvi.module.base import BaseModuleClass, LossOutput, auto_move_data
from scvi.nn import FCLayers
from sklearn.linear_model import RidgeCV

import jpvae_core as jc
from jpvae_torch import JointPriorModule


def network(n_in, n_out):
    hidden = FCLayers(n_in, 128, n_hidden=128, use_batch_norm=False, use_layer_norm=True)  # no statistics of batches
    return torch.nn.Sequential(hidden, torch.nn.Linear(128, n_out))


class TwoPanels(BaseModuleClass):
    def __init__(self, genes, n_latent=10):
        super().__init__()
        self.names = list(genes)
        self.encoders = torch.nn.ModuleDict({k: network(n, 2 * n_latent) for k, n in genes.items()})
        self.decoders = torch.nn.ModuleDict({k: network(n_latent, n) for k, n in genes.items()})
        self.log_theta = torch.nn.ParameterDict({k: torch.zeros(n) for k, n in genes.items()})
        self.prior = JointPriorModule(dict.fromkeys(genes, n_latent), "canonical")

    def _get_inference_input(self, tensors, **kwargs):
        return {"counts": {k: tensors[k] for k in self.names}}

    @auto_move_data
    def inference(self, counts, mask=None):
        prior, raw = self.prior(), {k: self.encoders[k](torch.log1p(x)).chunk(2, dim=-1) for k, x in counts.items()}
        masks = jc.subsets(prior) if mask is None else mask  # both panels, the first alone, the second alone
        means = {k: m for k, (m, _) in raw.items()}
        log_vars = {k: -torch.nn.functional.softplus(r) for k, (_, r) in raw.items()}  # at most 0, as a view can only add
        q = jc.fuse(prior, means, log_vars, masks)
        z = q.mean() if mask else q.draw(torch.randn(len(masks), *means["first"].shape[:1], q.noise_dim))
        return {"q": q, "z": z, "masks": masks}

    def _get_generative_input(self, tensors, inference_outputs, **kwargs):
        return {"z": inference_outputs["z"], "sizes": {k: tensors[k].sum(1, keepdim=True) for k in self.names}}

    @auto_move_data
    def generative(self, z, sizes):
        shares = {k: torch.softmax(self.decoders[k](z[k]), dim=-1) for k in self.names}
        return {"px": {k: NegativeBinomial(mu=sizes[k] * shares[k], theta=self.log_theta[k].exp()) for k in self.names}}

    def loss(self, tensors, inference_outputs, generative_outputs, kl_weight=1.0):
        q, masks, px = inference_outputs["q"], inference_outputs["masks"], generative_outputs["px"]
        log_probs = {k: px[k].log_prob(tensors[k]).sum(-1) for k in self.names}
        loss = jc.subset_loss(q.prior, log_probs, q.kl(), masks, beta=kl_weight)
        return LossOutput(loss.mean(), reconstruction_loss=-sum(x[0] for x in log_probs.values()), kl_local=q.kl()[0])

    sample = None  # not needed here

    def optimizer(self, params, lr=3e-3):
        """The prior's correlations at a tenth of the rate, and no weight decay for any of its parameters."""
        own = {id(p) for p in self.prior.parameters()}
        networks = {"params": [p for p in params if id(p) not in own]}
        return torch.optim.AdamW([networks, *self.prior.parameter_groups(lr)], lr=lr, weight_decay=1e-3)


class JointPanels(UnsupervisedTrainingMixin, BaseModelClass):
    def __init__(self, adata, **options):
        super().__init__(adata)
        self.module = TwoPanels({"first": adata.n_vars, "second": adata.obsm["second"].shape[1]}, **options)
        self.init_params_ = self._get_init_params(locals())

    @classmethod
    def setup_anndata(cls, adata, **kwargs):
        fields = [LayerField("first", None, is_count_data=True), ObsmField("second", "second", is_count_data=True)]
        manager = AnnDataManager(fields=fields, setup_method_args=cls._get_setup_method_args(**locals()))
        manager.register_fields(adata, **kwargs)
        cls.register_manager(manager)

    @torch.no_grad()
    def second_from_first(self, adata):
        """Expected shares of the second panel's genes, from the first panel alone: its other entries are never read."""
        self.module.eval()
        (tensors,) = self._make_data_loader(self._validate_anndata(adata), batch_size=len(adata))
        found = self.module.inference({k: tensors[k] for k in self.module.names}, mask={"first": True, "second": False})
        return self.module.generative(found["z"], dict.fromkeys(self.module.names, 1.0))["px"]["second"].mu.numpy()


warnings.simplefilter("ignore")
scvi.settings.seed = 0
torch.set_num_threads(1)
logs = scanpy.datasets.pbmc68k_reduced().raw.to_adata().X.toarray()
scaled = np.expm1(logs)  # counts over the cell's total, times a constant: the smallest is one molecule
counts = np.rint(scaled / np.where(scaled > 0, scaled, np.inf).min(axis=1, keepdims=True)).astype(np.float32)
cells, panels = np.random.default_rng(0).permutation(len(counts)), (counts[:, ::2], counts[:, 1::2])
train, test = cells[:550], cells[550:]
data, unseen = (anndata.AnnData(panels[0][rows], obsm={"second": panels[1][rows]}) for rows in (train, test))
JointPanels.setup_anndata(data)
model = JointPanels(data)
plan = {"optimizer": "Custom", "optimizer_creator": model.module.optimizer, "n_epochs_kl_warmup": 20}
model.train(60, accelerator="cpu", train_size=1.0, batch_size=64, plan_kwargs=plan, enable_progress_bar=False, logger=False)

first, second = (np.log1p(100.0 * x / x.sum(axis=1, keepdims=True)) for x in panels)
ridge = RidgeCV(np.logspace(0, 4, 9)).fit(first[train], second[train])  # its penalty by leave-one-out on the training cells
guesses = np.log1p(100.0 * model.second_from_first(unseen)), ridge.predict(first[test])
total = ((second[test] - second[train].mean(0)) ** 2).sum()
ours, linear = (float(1 - ((x - second[test]) ** 2).sum() / total) for x in guesses)
print(f"second panel from the first, variance of log-expression explained: {ours:.2f} (ridge {linear:.2f})")
assert ours > 0.36
