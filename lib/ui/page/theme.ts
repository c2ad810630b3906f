/**
 * Light or dark: as the system says, or as the user chose.
 *
 * @module
 */
import { element, setText } from './dom.js';

const CHOICES = ['auto', 'light', 'dark'] as const;
type Choice = (typeof CHOICES)[number];
const NAMES = { auto: 'Automatic', light: 'Light', dark: 'Dark' } as const;
const KEY = 'deepzero-theme';

/** Colours that tell runs apart are variables of the style sheet, so many of them. */
export const COLOURS = 8;

let printing = false;

/** Whether the page is being printed. */
export function isPrinting(): boolean {
  return printing;
}

/** A switch between the themes; calls `changed` where colours change. */
export function themeSwitch(changed: () => void): HTMLElement {
  let choice = saved();
  const button = element('button', { type: 'button', class: 'quiet' });
  const apply = (): void => {
    if (choice === 'auto') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = choice;
    setText(button, `Theme: ${NAMES[choice]}`);
    changed();
  };
  button.addEventListener('click', () => {
    choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length]!;
    save(choice);
    apply();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', changed);
  // Paper is white.
  addEventListener('beforeprint', () => {
    printing = true;
    document.documentElement.dataset['theme'] = 'light';
    changed();
  });
  addEventListener('afterprint', () => {
    printing = false;
    apply();
  });
  apply();
  return button;
}

function saved(): Choice {
  try {
    return CHOICES.find((choice) => choice === localStorage.getItem(KEY)) ?? 'auto';
  } catch {
    return 'auto';
  }
}

/** A browser may keep nothing for files. */
function save(choice: Choice): void {
  try {
    localStorage.setItem(KEY, choice);
  } catch {
    // The choice lasts as long as the page.
  }
}
