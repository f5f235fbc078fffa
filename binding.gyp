{
  "variables": { "has_dpdk%": "<!(pkg-config --exists libdpdk 2>/dev/null && echo 1 || echo 0)" },
  "targets": [
    {
      "target_name": "sluice",
      "sources": [
        "<!@(node -p \"((s) => [...s.common, ...s.addon].join(' '))(JSON.parse(require('fs').readFileSync('native/sources.json', 'utf8')))\")"
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
  ],
  "conditions": [
    ["has_dpdk==1", {
      "targets": [
        {
          "target_name": "sluice_dpdk",
          "type": "shared_library",
          "product_prefix": "",
          "product_dir": "<(PRODUCT_DIR)",
          "product_extension": "so",
          "sources": [
            "<!@(node -p \"JSON.parse(require('fs').readFileSync('native/sources.json', 'utf8')).dpdk.join(' ')\")"
          ],
          "include_dirs": ["native/include", "native"],
          "defines": ["_GNU_SOURCE"],
          "cflags": ["-O2", "-g", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror", "-Wshadow", "<!@(pkg-config --cflags libdpdk)"],
          "cflags_c": ["-std=gnu11", "-Wstrict-prototypes"],
          "libraries": ["<!@(pkg-config --libs libdpdk)"]
        }
      ]
    }]
  ]
}
