# The consumers' build, run by the install script through node-gyp. Sources and flags: native/sources.json.
{
  "target_defaults": {
    "include_dirs": ["native"],
    "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17"],
    "cflags_cc": ["-std=c++17", "<!@(node -p \"require('./native/sources.json').flags.join(' ')\")"]
  },
  "variables": {
    "kernels": ["<!@(node -p \"require('./native/sources.json').kernels.join(' ')\")"]
  },
  "targets": [
    {
      "target_name": "deepzero",
      "sources": [
        "<!@(node -p \"const { core, addon } = require('./native/sources.json'); [...core, ...addon].join(' ')\")"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": [
        "NAPI_VERSION=8",
        "NODE_ADDON_API_CPP_EXCEPTIONS_ALL",
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
      ],
      "cflags_cc": ["-fopenmp"],
      "ldflags": ["-fopenmp", "-Wl,-z,nodelete", "-ldl"],
      "dependencies": ["kernels_portable"],
      "conditions": [["target_arch=='x64'", { "dependencies": ["kernels_avx2", "kernels_avx512"] }]]
    },
    {
      "target_name": "kernels_portable",
      "type": "static_library",
      "sources": ["<@(kernels)"],
      "defines": ["DEEPZERO_ISA=portable"]
    }
  ],
  "conditions": [
    [
      "target_arch=='x64'",
      {
        "targets": [
          {
            "target_name": "kernels_avx2",
            "type": "static_library",
            "sources": ["<@(kernels)"],
            "defines": ["DEEPZERO_ISA=avx2"],
            "cflags_cc": ["<!@(node -p \"require('./native/sources.json').isas.avx2.join(' ')\")"]
          },
          {
            "target_name": "kernels_avx512",
            "type": "static_library",
            "sources": ["<@(kernels)"],
            "defines": ["DEEPZERO_ISA=avx512"],
            "cflags_cc": ["<!@(node -p \"require('./native/sources.json').isas.avx512.join(' ')\")"]
          }
        ]
      }
    ]
  ]
}
