"""A passthrough worker on PyTrickle, to be measured by `trickle bench pipeline`.

    python3 -m venv venv && venv/bin/pip install --only-binary :all: pytrickle==0.1.6
    venv/bin/python pytrickle_worker.py 9000
"""

import asyncio
import sys

from pytrickle.frame_processor import FrameProcessor
from pytrickle.server import StreamServer


class Passthrough(FrameProcessor):
    """Takes RGB f32 and gives RGB f32, unchanged."""

    async def load_model(self, **kwargs):
        pass

    async def process_video_async(self, frame):
        return frame.replace_tensor(frame.tensor)

    async def process_audio_async(self, frame):
        return [frame]

    async def update_params(self, params):
        pass

    async def on_stream_start(self, params=None):
        pass

    async def on_stream_stop(self):
        pass


async def main(port):
    server = StreamServer(frame_processor=Passthrough(), port=port, host="127.0.0.1")
    await server.run_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 9000))
