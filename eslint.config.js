import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig(globalIgnores(['build/', 'dist/']), js.configs.recommended, {
  files: ['**/*.ts'],
  extends: [tseslint.configs.strictTypeChecked],
  languageOptions: { parserOptions: { projectService: true } },
  rules: {
    // An interface gives the type that a schema yields a name, in messages and declarations.
    '@typescript-eslint/no-empty-object-type': ['error', { allowInterfaces: 'with-single-extends' }],
    // Indices of typed arrays come from loops over their length: `!` says so without a test at run time.
    '@typescript-eslint/no-non-null-assertion': 'off',
    // What `using` is to dispose of may have no other use.
    '@typescript-eslint/no-unused-vars': ['error', { varsIgnorePattern: '^_$' }],
    '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
  },
});
