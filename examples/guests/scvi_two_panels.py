"""scvi-tools: a module of two modalities tied by a joint prior, in that library's own idiom, on counts of 700 blood cells.

A ``BaseModuleClass`` (inference, generative, loss) in an ``UnsupervisedTrainingMixin`` model with AnnData fields; scvi-tools'
layers, negative binomial, training plan and KL warm-up. The cells are the blood cells that scanpy brings with it, their 765
genes are split into two panels. The number: variance of the second panel's log-expression in unseen cells that is explained
from the first panel, beside ridge regression on the same log-expression.
"""

import logging
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
from sklearn.linear_model import Ridge

import jpvae_core as jc
from jpvae_torch import JointPriorModule

PLAIN = {"n_hidden": 128, "dropout_rate": 0.1, "use_batch_norm": False, "use_layer_norm": True}  # no statistics of batches


class TwoPanels(BaseModuleClass):
    def __init__(self, genes, n_latent=10):
        super().__init__()
        self.names, self.n_latent = list(genes), n_latent
        self.encoders = torch.nn.ModuleDict({k: FCLayers(n, 128, **PLAIN) for k, n in genes.items()})
        self.heads = torch.nn.ModuleDict({k: torch.nn.Linear(128, 2 * n_latent) for k in genes})
        self.decoders = torch.nn.ModuleDict({k: FCLayers(n_latent, 128, **PLAIN) for k in genes})
        self.shares = torch.nn.ModuleDict({k: torch.nn.Linear(128, n) for k, n in genes.items()})
        self.log_theta = torch.nn.ParameterDict({k: torch.zeros(n) for k, n in genes.items()})
        self.prior = JointPriorModule(dict.fromkeys(genes, n_latent), "canonical")

    def _get_inference_input(self, tensors, **kwargs):
        return {"counts": {k: tensors[k] for k in self.names}}

    @auto_move_data
    def inference(self, counts, mask=None):
        prior, means, log_vars = self.prior(), {}, {}
        for k, x in counts.items():
            raw = self.heads[k](self.encoders[k](torch.log1p(x)))
            means[k], log_vars[k] = raw[:, : self.n_latent], -torch.nn.functional.softplus(raw[:, self.n_latent :])
        masks = jc.subsets(prior) if mask is None else mask  # both panels, the first alone, the second alone
        q = jc.fuse(prior, means, log_vars, masks)
        noise = torch.randn(len(jc.subsets(prior)), len(x), q.noise_dim, device=x.device)
        return {"q": q, "z": q.mean() if mask is not None else q.draw(noise), "masks": masks}

    def _get_generative_input(self, tensors, inference_outputs, **kwargs):
        return {"z": inference_outputs["z"], "sizes": {k: tensors[k].sum(1, keepdim=True) for k in self.names}}

    @auto_move_data
    def generative(self, z, sizes):
        shares = {k: torch.softmax(self.shares[k](self.decoders[k](z[k])), dim=-1) for k in self.names}
        return {"px": {k: NegativeBinomial(mu=sizes[k] * shares[k], theta=self.log_theta[k].exp()) for k in self.names}}

    def loss(self, tensors, inference_outputs, generative_outputs, kl_weight=1.0):
        q, masks, px = inference_outputs["q"], inference_outputs["masks"], generative_outputs["px"]
        log_probs = {k: px[k].log_prob(tensors[k]).sum(-1) for k in self.names}
        loss = jc.subset_loss(q.prior, log_probs, q.kl(), masks, beta=kl_weight)
        reconstruction = -sum(x[0] for x in log_probs.values())
        return LossOutput(loss=loss.mean(), reconstruction_loss=reconstruction, kl_local=q.kl()[0])

    def sample(self, *args, **kwargs):
        raise NotImplementedError

    def optimizer(self, params, lr=3e-3):
        """The prior's correlations at a tenth of the rate, and no weight decay for any of its parameters."""
        own = {id(p) for p in self.prior.parameters()}
        networks = {"params": [p for p in params if id(p) not in own]}
        return torch.optim.AdamW([networks, *self.prior.parameter_groups(lr)], lr=lr, weight_decay=1e-3)


class JointPanels(UnsupervisedTrainingMixin, BaseModelClass):
    def __init__(self, adata, **options):
        super().__init__(adata)
        genes = {"first": self.summary_stats.n_vars, "second": adata.obsm["second"].shape[1]}
        self.module = TwoPanels(genes, **options)
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
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
scvi.settings.seed = 0
torch.set_num_threads(1)
logs = scanpy.datasets.pbmc68k_reduced().raw.to_adata().X.toarray()
scaled = np.expm1(logs)  # counts over the cell's total, times a constant: the smallest is one molecule
counts = np.rint(scaled / np.where(scaled > 0, scaled, np.inf).min(axis=1, keepdims=True)).astype(np.float32)
cells, panels = np.random.default_rng(0).permutation(len(counts)), (counts[:, ::2], counts[:, 1::2])
train, test = cells[:550], cells[550:]


def annotated(rows):
    return anndata.AnnData(panels[0][rows], obsm={"second": panels[1][rows]})


def logged(shares):
    return np.log1p(300.0 * shares)


data = annotated(train)
JointPanels.setup_anndata(data)
model = JointPanels(data)
plan = {"optimizer": "Custom", "optimizer_creator": model.module.optimizer, "n_epochs_kl_warmup": 20}
model.train(60, accelerator="cpu", train_size=1.0, batch_size=64, plan_kwargs=plan, enable_progress_bar=False, logger=False)

first, second = (logged(x / x.sum(axis=1, keepdims=True)) for x in panels)
guess, ridge = (
    logged(model.second_from_first(annotated(test))),
    Ridge(300.0).fit(first[train], second[train]).predict(first[test]),
)
error = [
    float(1 - ((x - second[test]) ** 2).sum() / ((second[test] - second[train].mean(0)) ** 2).sum()) for x in (guess, ridge)
]
print(f"the second panel's log-expression from the first, variance explained: {error[0]:.2f} (ridge {error[1]:.2f})")
assert error[0] > 0.1
