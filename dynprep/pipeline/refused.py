"""What a GPU's libraries say when work is too large for them without calling it want of memory."""

# CUDA's launch of a kernel, and the workspaces that cuDNN and cuBLAS ask for
_SIGNS = (
    "invalid configuration argument",
    "too many resources requested for launch",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_NOT_SUPPORTED",
    "CUDNN_STATUS_INTERNAL_ERROR",
    "CUDNN_STATUS_EXECUTION_FAILED",
    "unable to find an engine to execute this computation",
    "valid cuDNN algorithm",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "MPS backend out of memory",
    "Invalid buffer size",
)
_LONGEST = 160  # characters of a message


def why_refused(error: RuntimeError) -> str | None:
    """The first line of an error by which a GPU's library refuses work that may be too large; None for others."""
    text = str(error)
    if not any(sign.lower() in text.lower() for sign in _SIGNS):
        return None
    return text.strip().splitlines()[0][:_LONGEST]
