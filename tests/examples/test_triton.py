"""The model repository for Triton fits what is exported, and its client counts as the file itself does.

No Triton runs here: its configuration is parsed by the fields of `model_config.proto` that it uses, and the server is
a stand-in that speaks the protocol.
"""

import importlib.util
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import onnxruntime
import pytest
from docs_pages import IN_A_CHECKOUT, ROOT
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from pooling_backend import noise
from pooling_file import pooling_file

from sam_mprompt import load
from sam_mprompt.deploy.onnx_backend import OnnxBackend
from sam_mprompt.errors import RunError

pytestmark = pytest.mark.skipif(not IN_A_CHECKOUT, reason="the folder of a checkout")

TRITON = ROOT / "examples" / "triton"
FIELD = descriptor_pb2.FieldDescriptorProto
# Of https://github.com/triton-inference-server/common, protobuf/model_config.proto: message -> field -> (number, type).
PROTO = {
    "Tensor": {"name": (1, "string"), "data_type": (2, ".DataType"), "dims": (4, "int64*")},
    "Batching": {"max_queue_delay_microseconds": (2, "uint64")},
    "ModelConfig": {
        "name": (1, "string"), "platform": (2, "string"), "max_batch_size": (4, "int32"), "input": (5, ".Tensor*"),
        "output": (6, ".Tensor*"), "dynamic_batching": (11, ".Batching"),
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def config():
    file = descriptor_pb2.FileDescriptorProto(name="model_config.proto", syntax="proto3")
    kinds = file.enum_type.add(name="DataType")
    for number, name in enumerate(("TYPE_INVALID", "TYPE_BOOL")):
        kinds.value.add(name=name, number=number)
    kinds.value.add(name="TYPE_FP32", number=11)
    for message, fields in PROTO.items():
        made = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            label = FIELD.LABEL_REPEATED if kind.endswith("*") else FIELD.LABEL_OPTIONAL
            own = made.field.add(name=name, number=number, label=label)
            if kind.startswith("."):
                own.type_name = kind.rstrip("*")
                own.type = FIELD.TYPE_ENUM if kind == ".DataType" else FIELD.TYPE_MESSAGE
            else:
                own.type = getattr(FIELD, f"TYPE_{kind.rstrip('*').upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    known = message_factory.GetMessageClass(pool.FindMessageTypeByName("ModelConfig"))
    return text_format.Parse((TRITON / "models" / "crowd" / "config.pbtxt").read_text("utf-8"), known())


@pytest.fixture(scope="module")
def client():
    spec = importlib.util.spec_from_file_location("triton_client", TRITON / "client.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return pooling_file(tmp_path_factory.mktemp("triton") / "a.onnx")


def test_the_configuration_names_what_an_exported_file_takes_and_gives(config, file):
    from sam_mprompt.deploy.capture import INPUT, OUTPUT

    assert (config.name, config.platform) == ("crowd", "onnxruntime_onnx")
    assert config.max_batch_size > 1
    session = onnxruntime.InferenceSession(str(file))
    for asked, has, name, batched in (
        (config.input, session.get_inputs(), INPUT, [3, -1, -1]),
        (config.output, session.get_outputs(), OUTPUT, [-1, -1]),
    ):
        [told], [found] = asked, has
        assert told.name == found.name == name
        assert (told.data_type, found.type) == (11, "tensor(float)")
        assert list(told.dims) == batched == [side if isinstance(side, int) else -1 for side in found.shape[1:]]


class Server(BaseHTTPRequestHandler):
    """Answers as Triton does, for one file."""

    def do_POST(self):
        whole = self.rfile.read(int(self.headers["Content-Length"]))
        at = int(self.headers["Inference-Header-Content-Length"])
        asked = json.loads(whole[:at])
        [tensor] = asked["inputs"]
        assert tensor["parameters"]["binary_data_size"] == len(whole) - at
        if self.path != "/v2/models/crowd/infer":
            self.send_error(404)
            return
        density = self.server.backend.density(np.frombuffer(whole[at:], "<f4").reshape(tensor["shape"]))
        output = {"name": "density", "datatype": "FP32", "shape": density.shape}
        header = json.dumps({"model_name": "crowd", "outputs": [output]}).encode()
        self.send_response(200)
        self.send_header("Inference-Header-Content-Length", str(len(header)))
        self.end_headers()
        self.wfile.write(header + density.tobytes())

    def log_message(self, *_):
        pass


@pytest.fixture
def url(file):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.backend = OnnxBackend(file)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_client_counts_as_the_file_does(client, file, url):
    images = [noise(90, 70), noise(200, 150)]
    remote, local = client.counter_of(file, url), load(file)
    for found, expected in zip(remote.count_many(images, batch_size=2), local.count_many(images), strict=True):
        assert found.count == pytest.approx(expected.count, rel=1e-6)
        assert str(found.interval()) == str(expected.interval())


def test_a_server_without_the_model_or_none_at_all_is_told_in_one_line(client, file, url):
    for counter in (client.counter_of(file, url, "other"), client.counter_of(file, "http://127.0.0.1:9")):
        with pytest.raises(RunError, match="did not count") as error:
            counter.count(noise(20, 20))
        assert "\n" not in str(error.value)
