// The modes of a llamafile.

#pragma once

enum class Mode { COMPLETION, SERVER, CHAT };
