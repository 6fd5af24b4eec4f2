// Photographs a page, once it shows a text: node picture.js CHROMIUM URL TEXT FILE
const { chromium } = require('playwright-core');

const [, , executablePath, url, text, file] = process.argv;

(async () => {
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--force-device-scale-factor=1'],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1400, height: 960 } });
    await page.goto(url, { timeout: 180000, waitUntil: 'domcontentloaded' });
    await page.getByText(text, { exact: false }).first().waitFor({ timeout: 180000 });
    await page.screenshot({ path: file, timeout: 120000, animations: 'disabled' });
  } finally {
    await browser.close();
  }
})().catch((err) => {
  console.error(err);
  process.exit(1);
});
