"""Every error a user can cause or meet, each one clear line: what, the value, what is allowed, what to do."""

PRETRAINED_OPTIONS = (
    "have: --pretrained imagenet, --pretrained FILE (a torchvision ResNet18 state dict), "
    "--pretrained source (with --source-data NAME[:PATH] or --limit N)"
)
"""The three ways to a pretrained teacher, for every message that must name them."""

TEACHER_OPTIONS = (
    "give --teacher a PyTorch or safetensors state dict of the network that --teacher-model names, "
    "with the classes of --data (--set teacher_given:model.KEY=VALUE for its arguments)"
)
"""What a given teacher must be."""


class SweepError(Exception):
    """Root of all errors of this project; the command line shows its message and ends with exit code 2."""


class SpecError(SweepError, ValueError):
    """A spec, or a value meant for one, is not allowed."""


class PluginError(SweepError, LookupError):
    """No model, objective, data set or sweep has this name, or its file breaks the contract."""


class DataError(SweepError, ValueError):
    """Images or labels are missing, unreadable or contradict each other."""


class StoreError(SweepError, OSError):
    """The store cannot be used: not writable, or written by a newer version."""


class UnreachableError(SweepError, RuntimeError):
    """A store on an object store does not answer, or refuses; later it may.

    No OSError: whoever reads a file and catches those must not take its silence for a file that is missing or damaged.
    """


class CorruptFileError(StoreError):
    """A file of the store is truncated, altered or not what its name promises."""


class DamagedDataError(CorruptFileError):
    """A prepared data set was damaged and is out of the way, so that it is prepared anew."""


class DiskFullError(StoreError):
    """The disk has no room for what must be written; the same command goes on once there is."""


class LogError(SweepError, RuntimeError):
    """A sweep cannot be logged there: an unknown logger, a library that is missing, a server that does not answer."""


class UnknownRunError(SweepError, LookupError):
    """No run of the store goes by this name, or more than one."""


class WeightsError(SweepError, ValueError):
    """Given weights cannot be had, read, or do not fit the network."""


class PlanError(SweepError, ValueError):
    """A set of jobs is not a plan: a label that is unknown, used twice, or a cycle."""


class ResourceError(SweepError, ValueError):
    """A job asks for more than any machine of the cluster has."""


class TrainingError(SweepError, ArithmeticError):
    """A training cannot go on: a loss that is not finite."""


class WeakTeacherError(SweepError, ValueError):
    """A teacher that is no better than guessing."""
