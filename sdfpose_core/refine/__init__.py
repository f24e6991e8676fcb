"""Refinement of pose, size and shape against the signed distance field itself.

The state x = (R, t, log s, z) of every hypothesis is moved by damped Gauss-Newton steps on

    sum_i rho(f(q_i; z) s / sigma_i)      observed points lie on the surface
  + sum_j rho(d(s R a_j + t) / sigma_d)   no point a_j of the surface is in space that is known to
                                          be free, nor out of the object's outline in the image
  + sum_k rho(max(0, -f(q_k)) / sigma_k)  nor does it reach through what it stands on
  + rho(max(0, min_k f(q_k)) / sigma_c)   on which it rests
  + (z - mu)^T Sigma^-1 (z - mu)          the code stays near what is expected
  + ((log s - log s_0) / sigma_s)^2       so does the size
  + |Sigma_R^-1/2 (R - R_0)|^2            and the axes

with q = R^T (p - t) / s and d the way out of the free space. What is expected is what the network
says, with the spreads that it gives, or the category's prior. Several views of one object share z
and s; their poses are eliminated first. `state` is what moves, `evidence` what
was measured, `priors` what is expected; `residuals` states the terms and their Jacobians, `kernel`
the robust loss rho, `damping` when a step is taken, `solver` the iteration; `icp` is the paper's
alternative.
"""
