mod golden;
mod labels;
mod parsing;
mod properties;
