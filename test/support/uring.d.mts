export function whyNoUring(): string;
