"""Refinement of pose, size and shape against the signed distance field.

Damped Gauss-Newton steps on the state x = (R, t, log s, z) of every hypothesis minimise

    sum_i rho(f(q_i; z) s / sigma_i)      observed points lie on the surface
  + sum_j rho(d(s R a_j + t) / sigma_d)   surface points a_j lie neither in observed free space nor
                                          outside the object's outline in the image
  + sum_k rho(max(0, -f(q_k)) / sigma_k)  the support does not cut into the object
  + rho(max(0, min_k f(q_k)) / sigma_c)   the object touches the support
  + (z - mu)^T Sigma^-1 (z - mu)          prior of the code
  + ((log s - log s_0) / sigma_s)^2       prior of the size
  + |Sigma_R^-1/2 (R - R_0)|^2            prior of the rotation's axes

with q = R^T (p - t) / s and d the distance to the border of the free space. The priors come from
the network prediction with its uncertainty, or from the category. Several views of one object
share z and s, and from known cameras also a pose in the world; their own poses are eliminated
first. Modules: `state` has the variables, `evidence` the measurements, `priors` the priors,
`residuals` the terms and their Jacobians, `world_pose` the common pose of several views, `kernel`
the robust loss rho, `damping` the damping strategy, `solver` the iteration, `icp` the alternative
of SSC-6D (Peng et al., AAAI 2022).
"""
