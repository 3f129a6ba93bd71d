from tests.edge.conftest import bare_model, info, make_model, model

__all__ = ["bare_model", "info", "make_model", "model"]
