# The consumers' build, run by the install script through node-gyp. Sources and flags: native/sources.json.
{
  "target_defaults": {
    "include_dirs": ["native"],
    "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17"],
    "cflags_cc": ["-std=c++17", "<@(flags)"],
    "xcode_settings": {
      "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
      "OTHER_CPLUSPLUSFLAGS": ["<@(flags)"]
    }
  },
  "variables": {
    "flags": ["<!@(node -p \"require('./native/sources.json').flags.join(' ')\")"],
    "kernels": ["<!@(node -p \"require('./native/sources.json').kernels.join(' ')\")"],
    "avx2": ["<!@(node -p \"require('./native/sources.json').isas.avx2.join(' ')\")"],
    "avx512": ["<!@(node -p \"require('./native/sources.json').isas.avx512.join(' ')\")"]
  },
  "targets": [
    {
      "target_name": "deepzero",
      "sources": [
        "<!@(node -p \"const { core, addon } = require('./native/sources.json'); [...core, ...addon].join(' ')\")"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": [
        "DEEPZERO_VERSION=<!(node -p \"require('./package.json').version\")",
        "NAPI_VERSION=8",
        "NODE_ADDON_API_CPP_EXCEPTIONS_ALL",
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
      ],
      "cflags_cc": ["-fopenmp"],
      "ldflags": ["-fopenmp"],
      "libraries": ["-ldl"],
      "dependencies": ["kernels_portable"],
      "conditions": [
        ["target_arch=='x64'", { "dependencies": ["kernels_avx2", "kernels_avx512"] }],
        [
          "OS=='mac'",
          {
            # Apple's clang comes without OpenMP; Homebrew's libomp is not where it looks.
            "variables": { "libomp": "<!(brew --prefix libomp)" },
            "xcode_settings": {
              "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
              "GCC_ENABLE_CPP_RTTI": "YES",
              "OTHER_CPLUSPLUSFLAGS": ["-Xpreprocessor", "-fopenmp", "-I<(libomp)/include"],
              "OTHER_LDFLAGS": ["-L<(libomp)/lib", "-lomp"]
            }
          }
        ]
      ]
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
            "cflags_cc": ["<@(avx2)"],
            "xcode_settings": { "OTHER_CPLUSPLUSFLAGS": ["<@(avx2)"] }
          },
          {
            "target_name": "kernels_avx512",
            "type": "static_library",
            "sources": ["<@(kernels)"],
            "defines": ["DEEPZERO_ISA=avx512"],
            "cflags_cc": ["<@(avx512)"],
            "xcode_settings": { "OTHER_CPLUSPLUSFLAGS": ["<@(avx512)"] }
          }
        ]
      }
    ]
  ]
}
