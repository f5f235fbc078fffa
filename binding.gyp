{
  "targets": [
    {
      "target_name": "sluice",
      "sources": [
        "<!@(node -p \"Object.values(JSON.parse(require('fs').readFileSync('native/sources.json', 'utf8'))).flat().join(' ')\")"
      ],
      "include_dirs": ["native/include", "native"],
      "defines": ["_GNU_SOURCE", "NAPI_VERSION=9", "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS"],
      "cflags": ["-O2", "-g", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror", "-Wshadow"],
      "cflags_c": ["-std=gnu11", "-Wstrict-prototypes"],
      "cflags_cc": ["-std=gnu++17", "-fno-exceptions", "-fno-rtti", "-isystem<!(node -p \"require('path').resolve(require('node-addon-api').include_dir)\")"],
      "ldflags": ["-static-libstdc++", "-static-libgcc"],
      "libraries": ["-lpthread"],
      "conditions": [
        ["target_arch=='x64' and clang==0", {
          "cflags_c": [
            "-mmemcpy-strategy=unrolled_loop:64:noalign,libcall:-1:noalign",
            "-mmemset-strategy=unrolled_loop:64:noalign,libcall:-1:noalign"
          ]
        }]
      ]
    }
  ]
}
