"""Operations on levels of latents: their grids, and what one level says of another."""
