"""Why a model answers as it does, whether the explanation holds, and how sure the answer is."""
